"""Common given names of German, French and English speakers and of their neighbours, as statistics offices publish them.

Two lists, because many names are words as well: a name of `AMBIGUOUS` is one only with more beside it (a family name, a title, an
introduction), since "Rose", "Jade" and "Mark" are colours, stones and coins more often than people in a shop's texts.
"""

__all__ = ["AMBIGUOUS", "GIVEN_NAMES", "words"]


def words(*texts: str) -> frozenset[str]:
    """The words of `texts`."""
    return frozenset(word for text in texts for word in text.split())


_GERMAN = """
Aaron Achim Adelheid Adrian Agnes Albrecht Alexander Alexandra Alfred Alina Alois Amelie Andrea Andreas Angelika Anja Anke
Anna Anneliese Annemarie Annette Annika Antje Anton Antonia Armin Arne Arno Arthur Astrid August Axel Barbara Bastian Beate Ben
Benedikt Benjamin Bernd Bernhard Bettina Birgit Bjarne Björn Bodo Brigitte Britta Brunhilde Burkhard Carina Carl Carla Carolin
Caroline Carsten Christa Christel Christian Christiane Christina Christine Christoph Clara Claudia Clemens Cornelia Dagmar
Daniel Daniela David Denise Detlef Dieter Dietmar Dietrich Dirk Doris Dorothea Eberhard Eckhard Edeltraud Edith Egon Elena
Elfriede Elias Elif Elisabeth Elke Ella Elsa Emil Emilia Emma Emre Erhard Erich Erika Ernst Erwin Esther Eva Fabian Fatma Felix
Ferdinand Finn Florian Franz Franziska Frauke Frederik Frida Frieda Friederike Friedrich Fritz Gabi Gabriele Georg Gerald Gerd
Gerda Gerhard Gernot Gertrud Gisela Gottfried Greta Gudrun Guido Günter Günther Gustav Hanna Hannah Hannelore Hans Harald Hartmut
Hedwig Heidi Heike Heiko Heiner Heinrich Heinz Helga Helmut Hendrik Henning Henri Henriette Henrik Herbert Hermann Hildegard
Holger Horst Hubert Ilona Ilse Ina Ines Inga Inge Ingeborg Ingo Ingrid Irene Irina Irmgard Isabell Jakob Jan Jana Janina Jannik
Jens Joachim Jochen Johann Johanna Johannes Jonas Jonathan Jörg Josef Julia Julian Jürgen Jutta Kai Karin Karl Karla Karsten
Katharina Kathrin Katja Katrin Kerstin Kilian Kirsten Klara Klaus Konrad Kristin Kristina Kurt Lars Laura Lea Leonard Leonie
Lena Leo Leon Leonhard Levin Lieselotte Lina Linda Lisa Lisbeth Lothar Lotte Louisa Luca Ludwig Luis Luisa Lukas Luise Magdalena
Maja Malte Manfred Manuel Manuela Marcel Marco Marcus Margarete Margit Maria Marie Marina Mario Marion Marius Markus Marlene Marlies
Marta Martha Martin Martina Mathilda Matteo Matthias Max Maximilian Mehmet Melanie Mia Michael Michaela Mila Milan Mira Miriam
Mohammed Monika Monique Moritz Murat Mustafa Nadine Nadja Natalie Nele Nicole Niklas Nils Nina Noah Nora Norbert Olaf Oliver Oskar
Otto Patricia Patrick Paul Paula Pauline Peter Petra Philipp Pia Rainer Ralf Raphael Rebecca Regina Reiner Reinhard Reinhold Renate
Renee Ria Richard Rita Robert Robin Roland Rolf Roman Ronja Rosemarie Rosi Rudi Rudolf Sabine Sabrina Samuel Sandra Sara Sarah Saskia
Sebastian Selina Siegfried Sigrid Silke Silvia Simon Simone Sofia Sönke Sonja Sophia Sophie Stefan Stefanie Steffen Stephan Susanne
Svenja Sven Swantje Tamara Tanja Theo Theodor Theresa Thomas Thorsten Tim Timo Tina Tobias Torben Torsten Traute Udo Ulf Ulla Ulrich
Ulrike Ursula Ute Uwe Valentin Vanessa Vera Verena Veronika Viktor Viktoria Volker Volkmar Walter Waltraud Werner Wiebke Wilfried
Wilhelm Willi Wolfgang Xaver Yannick Yasemin Yusuf Yvonne Zeynep
"""
_FRENCH = """
Adèle Adrien Agathe Agnès Alain Albert Alexandre Alexis Alice Aline Amandine Amélie Anaïs André Angélique Anne Annick Antoine
Apolline Arnaud Arlette Aude Audrey Aurélie Aurélien Axelle Baptiste Basile Bastien Béatrice Benoît Bernadette Bernard Bertrand
Blandine Brice Bruno Camille Capucine Carole Catherine Cécile Cédric Céleste Céline Chantal Charlotte Chloé Christelle Christophe
Claire Clarisse Claude Clémence Clément Clotilde Colette Coralie Corentin Corinne Cyril Damien Danielle Delphine Denis Diane
Didier Dominique Dorothée Éléonore Élise Élodie Éloïse Émeline Émilie Emmanuel Emmanuelle Enzo Éric Estelle Étienne Eugénie Évelyne
Fabien Fabienne Fabrice Fanny Ferrand Florence Flavie France Franck François Françoise Frédéric Frédérique Gabriel Gaëlle Gaspard
Gaston Gauthier Geneviève Georges Georgette Gérald Gérard Germaine Ghislaine Gilles Ginette Grégoire Grégory Guillaume Guy Gwenaëlle Hélène
Henriette Hervé Honoré Hugo Hugues Inès Isabelle Jacqueline Jacques Jean Jeanne Jeannine Jérémie Jérémy Jérôme Joëlle Joël Joséphine Josiane
Josette Jules Julie Julien Juliette Justine Karine Kévin Laëtitia Laure Laurence Laurent Léa Léo Léonie Liliane Loïc Lola Loris Louane
Louis Louise Luc Lucas Lucie Lucien Lucienne Ludivine Ludovic Lydie Madeleine Maël Magali Manon Marc Marcelle Margaux Margot
Marguerite Marianne Marielle Mathieu Mathilde Mathis Maud Maurice Maxence Maxime Mélanie Mélissa Michel Michèle Micheline Mickaël
Mireille Monique Morgane Muriel Mylène Nadège Nathalie Nathan Nicolas Noé Noémie Océane Odette Odile Olivier Pascal Pascale Patrice
Paulette Perrine Philippe Philippine Pierre Quentin Raymond Raymonde Régine Régis Rémi Rémy René Renée Robin Rodolphe Romain Romane
Roselyne Sabrina Salomé Sandrine Sébastien Serge Séverine Simone Solange Solène Soraya Stéphane Stéphanie Suzanne Sylvain Sylvie
Tanguy Théo Thérèse Thibault Thibaut Thierry Thomas Tiphaine Timothée Tristan Valentine Valérie Véronique Victoire Vincent Virginie
Viviane Xavier Yann Yannick Yves Yvette Yvonne Zoé
"""
_ENGLISH = """
Abigail Adam Adele Adrienne Aidan Aiden Alan Alana Albert Alex Alexandra Alexis Alfie Alison Alistair Allan Allen Allison Alyssa Amanda Amelia
Amy Andrea Andrew Andy Angela Angie Anita Ann Anna Annabel Anne Annie Anthony Antonia Archie Arlene Arnold Arthur Ashley Audrey
Barbara Barry Becky Ben Benjamin Bernard Bernice Bertha Bessie Beth Bethany Betsy Betty Beverly Billy Bob Bobby Bonnie Brad Bradley
Brandon Brenda Brendan Brett Brian Bridget Brittany Bruce Bryan Callum Caitlin Caitlyn Cameron Carl Carla Carmen Carol Caroline Carolyn Carrie Cassandra
Catherine Cathy Cecil Cecilia Chad Charles Charlie Charlotte Chelsea Cheryl Chris Christina Christine Christopher Cindy Claire Clara
Clarence Claudia Clifford Clive Colin Colleen Connie Connor Constance Courtney Craig Crystal Curtis Cynthia Dan Daniel Danielle Danny
Darlene Darren Dave David Dawn Dean Deborah Debra Deirdre Denise Dennis Derek Desmond Diana Diane Diego Dolores Don Donald Donna Doreen Doris
Dorothy Doug Douglas Duncan Dustin Dwayne Dylan Earl Edith Edmund Edna Edward Edwin Eileen Elaine Eleanor Eli Elijah Elizabeth Ella Ellen
Ellie Elliot Elsie Emily Emma Eric Erica Erin Ernest Esther Ethan Ethel Eugene Eva Evan Evelyn Ewan Faye Felicity Fernando Fiona Florence Frances
Francesca Francis Frank Franklin Fred Frederick Freya Gail Gareth Gary Gavin Gemma Geoffrey George Georgia Georgina Gerald Geraldine
Gertrude Gillian Gina Gladys Glenda Glenn Gloria Gordon Graham Grant Greg Gregory Gwendolyn Hannah Harold Harriet Harry Harvey Heather
Hector Helen Henry Herbert Hilary Holly Howard Hugh Ian Imogen Irene Irvin Isaac Isabel Isabella Isla Jack Jackie Jackson Jacob Jacqueline
Jake James Jamie Jane Janet Janice Jared Jason Jasmine Jay Jean Jeanette Jeff Jeffrey Jennifer Jenny Jeremy Jerome Jerry Jesse Jessica Jill
Jim Jimmy Joan Joanna Jodi Jodie Joanne Joe Joel John Johnny Jon Jonathan Jordan Jorge Jose Joseph Josephine Josh Joshua Joyce Juan Juanita Judith Judy
Julia Julian Julie June Justin Karen Kate Katherine Kathleen Kathryn Kathy Katie Kayla Keith Kelly Ken Kenneth Kerry Kevin Kieran
Kimberly Kirsty Kristen Kyle Larry Laura Lauren Laurie Lawrence Leah Lee Leroy Leslie Lewis Liam Lillian Linda Lisa Lloyd Logan
Lois Lori Lorraine Louis Louise Lucas Lucy Luke Lydia Lynn Madison Malcolm Mandy Marc Marcia Marcus Margaret Maria Marian Marie Marilyn
Marjorie Martha Martin Marvin Mary Mason Mathew Matthew Maureen Max Maxine Megan Melanie Melinda Melissa Melvin Mercedes Michael Michelle
Miguel Mike Mildred Miranda Molly Monica Morgan Muhammad Muriel Myra Nancy Naomi Natalie Natasha Nathan Nathaniel Neil Nellie Nicholas Nicola
Nicole Nigel Noah Noel Nora Norma Norman Olivia Oliver Oscar Owen Pamela Patricia Patrick Paul Paula Pauline Pedro Peggy Penelope Penny
Peter Phil Philip Phillip Phoebe Phyllis Rachel Ralph Ramon Randy Raymond Rebecca Regina Reginald Rhonda Ricardo Richard Rick Ricky Rita
Robert Roberta Roberto Robin Rodney Roger Roland Ronald Rory Rosemary Ross Roy Russell Ruth Ryan Sally Sam Samantha Samuel Sandra Sara Sarah
Scarlett Scott Sean Sebastian Shannon Sharon Shaun Shawn Sheila Shelley Sherry Shirley Sidney Simon Sophia Sophie Spencer Stacey Stacy
Stanley Stella Stephanie Stephen Steve Steven Stewart Stuart Sue Susan Suzanne Sylvia Tamara Tammy Tara Ted Teresa Terrence Terry
Thelma Theodore Theresa Thomas Tiffany Tim Timothy Tina Todd Tom Tommy Toni Tony Tracey Tracy Travis Trevor Tyler Valerie Vanessa Vera Vernon
Veronica Vicki Vickie Victor Victoria Vincent Virginia Vivian Walter Wanda Wayne Wendy Wesley William Willie Wilma Yolanda Yvonne Zachary Zoe
"""
_NEIGHBOURS = """
Ada Agata Alma Anita Ariana Asya Birgit Boris Dragan Emilie Fanni Gudrun Haruka Hiroshi Ingrid Jesper Jonna Kaija Katrine Kasper Kenji Krisztián Leif Liisa Mads Mathias Mathilde Mikołaj Miroslav Natalija Niels Olav Oleg Petter Petra Rasmus Reza Rune Signe Siiri Silje Sofija Solveig Søren Tatiana Thea Tomomi Tuomas Ville Yuki Yuri Agnieszka Ahmed Aino Aleksander Aleksandra Aleksi Alberto Alessandra Alessandro Alessia Alfonso Ali Alicia Álvaro Ana Anders
Andrei Andrzej Anette Angelo Anita Annelies Anneke Antonella Antonio Arjen Arvid Ayşe Beatriz Bengt Bianca Birgitta Bjørn Bo
Bogdan Bożena Bram Carlos Carlo Carmela Catarina Chiara Concetta Cristina Dariusz Davide Dimitri Dmitri Dorota Eduardo Einar Ekaterina
Elena Elin Elina Elisa Enrico Enrique Erik Eriksson Esteban Eszter Ewa Fatima Federica Federico Femke Fernanda Ferenc Filip Filippo Francesco Francisco
Fredrik Gábor Georgi Giacomo Giorgio Giovanna Giovanni Giulia Giuseppe Gonzalo Grażyna Grzegorz Guillermo Gunnar Gustavo Hamid Hanne Hassan Håkan Hanneke
Helena Ibrahim Igor Ingvar István Ivan Ivana Jaap Jacek Jadwiga Jaime Jakub Jana János Jarosław Javier Jelena Jesús Jiří João Joanna Johan Joost
Jordi José Józef Jorge Joris Juha Juhani Juan Kari Karel Karolina Katarzyna Katarína Kees Khalid Kjell Kristian Kristina Krzysztof Lajos László Lars Leena
Lorenzo Lourdes Lucía Luigi Luís Maarten Maciej Magnus Mahmoud Małgorzata Manuel Marek Margarita Margherita Mariana Marija Mariusz Marit Marta Martijn
Matej Matti Mattias Mehdi Mette Mikael Miguel Mikko Milena Milica Miloš Mirjam Mirosław Mohamed Monica Natalia Natasha Nguyen Nikola Nikolai Niko
Nuno Ola Olga Omar Oscar Pablo Paola Paolo Paulina Pavel Pedro Pekka Per Petr Piero Pietro Pilar Piotr Radosław Rafael Rafał Raquel Ricardo Riccardo
Roberto Rodrigo Rosario Ryszard Salvatore Sanna Santiago Sara Sergej Sergio Sigurd Silvana Simona Sławomir Sofie Stanisław Stefano Stijn Svetlana
Tamás Tatjana Teresa Tomáš Tomasz Tommaso Torsten Ulla Urszula Valentina Vasco Veronica Vesna Viktor Vladimir Vittorio Wiesław Willem Wim Wojciech Yasmin
Youssef Zbigniew Zofia Zoltán
"""

AMBIGUOUS = words(
    """
    Alba Amber Angel April Art Aurora Autumn Basil Bay Bill Blanche Blue Brook Brooke Candy Chance Chase Chip Christian Clay Cliff
    Coral Daisy Dale Dawn Dean Don Drew Earl Eve Faith Fay Fern Fleur Flora Forest France Frank Gene Georgia Ginger Glen Grace Grant
    Guy Harmony Harper Hazel Heath Holly Hope Iris Ivory Ivy Jack Jade Jasmine Jersey Jet Joy Jordan Jules June Lance Laurel Lee
    Leo Lily Lola Lotte Luna Marc Marina Mark Max May Melody Mercedes Mia Mika Miles Misty Morgan Norm Norma Olive Opal Paris Pat Pearl
    Penny Per Petite Pink Pierre Ray Reed Rich Rob Robin Roman Romane Rose Rosa Rosé Roy Ruby Rusty Sage Sandy Savannah Scarlett
    Shelley Sky Skye Stella Sterling Sue Summer Sunny Victoire Victor Victoria Viola Violet Virginia Will Willow Wolf Bo Ali Ola Nora Ina
    Ria Chelsea Alexis Camille Diana Claire Florence Sofia Vienna Sydney Austin Dallas Madison Charlotte Carmen Capucine Céleste
    Angelo Mason Spencer Carter Tyler Taylor Cooper Prince King August Augustus Bruno Hugo Jay Ken Sam Art Tommy Ben Jean Maria Antoinette Mary Jane Peter Pan
    """
)
"""Names that are words, colours, cloths, places or labels of the trade as well."""

GIVEN_NAMES = words(_GERMAN, _FRENCH, _ENGLISH, _NEIGHBOURS) | AMBIGUOUS
"""Every name, as it is written; those of `AMBIGUOUS` too."""
